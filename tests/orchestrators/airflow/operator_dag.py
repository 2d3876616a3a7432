"""
A DAG with one task, the KubernetesPodOperator of docs/orchestrators.md, and its run:

    OPERATOR=… CASE=… python operator_dag.py RESULT

OPERATOR is the page's Python, CASE what a test changes, as JSON: "options" are more arguments of the
operator, "attributes" replace those that the page gives, "pod" is its full_pod_spec, and with
"injected" WRAPPER_INJECTED is the annotation of that name. RESULT gets the task's state and its XCom.
"""

import json
import os
import sys
from datetime import datetime

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

case = json.loads(os.environ["CASE"])
options = dict(case["options"])
if "pod" in case:
    options["full_pod_spec"] = PodGenerator.deserialize_model_dict(case["pod"])
if "injected" in case:
    path = f"metadata.annotations['{case['injected']}']"
    source = k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path=path))
    options["pod_runtime_info_envs"] = [k8s.V1EnvVar(name="WRAPPER_INJECTED", value_from=source)]

with DAG(
    dag_id="trial", schedule=None, start_date=datetime(2026, 1, 1), default_args=options
) as dag:
    page = {}
    exec(os.environ["OPERATOR"], page)  # noqa: S102
    task = page["task"]
    for name, value in case.get("attributes", {}).items():
        setattr(task, name, value)

if __name__ == "__main__":
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    run = dag.test()
    [instance] = run.get_task_instances()
    with create_session() as session:
        query = XComModel.get_many(
            run_id=run.run_id, dag_ids=["trial"], task_ids=["load"], key="return_value"
        )
        values = [XComModel.deserialize_value(row) for row in session.scalars(query)]
    with open(sys.argv[1], "w") as result:
        json.dump({"state": instance.state, "xcom": values}, result)
