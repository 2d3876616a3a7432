"""
A Dagster job whose op runs a command in a pod of its own, by dagster-k8s:

    OPTIONS=… python op.py RESULT

OPTIONS are the arguments of execute_k8s_job, as JSON. RESULT gets whether the job succeeded.
"""

import json
import os
import sys

from dagster import job, op
from dagster_k8s import execute_k8s_job


@op
def load(context):
    execute_k8s_job(context, load_incluster_config=False, **json.loads(os.environ["OPTIONS"]))


@job
def trial():
    load()


if __name__ == "__main__":
    outcome = trial.execute_in_process(raise_on_error=False)
    with open(sys.argv[1], "w") as result:
        json.dump({"success": outcome.success}, result)
