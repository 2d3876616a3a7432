"""
A Dagster run, whose worker Dagster's K8sRunLauncher starts in a pod:

    DAGSTER_HOME=… CONFIG=… python launcher.py RESULT

CONFIG is the run's `dagster-k8s/config`, as JSON. RESULT gets the run's status, and what the launcher
says about the worker once the run is over.
"""

import json
import os
import sys
import time
from urllib.error import HTTPError
from urllib.request import urlopen

from dagster import DagsterInstance, job, op
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.launcher import LaunchRunContext


@op(config_schema={"fail": bool})
def load(context):
    """Uses the network through the sidecar, and fails if the run's configuration says so."""
    try:
        urlopen("http://localhost:15020/last-use", timeout=10)
    except HTTPError as answer:
        context.log.info(f"the sidecar answered {answer.code}")
    if context.op_config["fail"]:
        raise ValueError("as the test wants it")


@job
def trial():
    load()


if __name__ == "__main__":
    instance = DagsterInstance.get()
    origin = ReconstructableJob.for_file(__file__, "trial").get_python_origin()
    fail = json.loads(os.environ["FAIL"])
    run = instance.create_run_for_job(
        trial,
        run_config={"ops": {"load": {"config": {"fail": fail}}}},
        tags={"dagster-k8s/config": os.environ["CONFIG"]},
        job_code_origin=origin,
    )
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    while not instance.get_run_by_id(run.run_id).is_finished:
        time.sleep(0.5)
    run = instance.get_run_by_id(run.run_id)
    with open(sys.argv[1], "w") as result:
        json.dump({"status": run.status.value, "job": f"dagster-run-{run.run_id}"}, result)
