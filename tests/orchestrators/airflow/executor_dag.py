"""
A DAG with one task, which Airflow's KubernetesExecutor runs in a pod, and its run:

    ADDRESS=… python executor_dag.py RESULT

The worker in the pod reports to Airflow's own API server, which listens at ADDRESS. RESULT gets the
task's state.
"""

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from airflow.sdk import DAG, task


@task
def load(**context):
    """Uses the network through the sidecar, and fails if the run's configuration says so."""
    try:
        urlopen("http://localhost:15020/last-use", timeout=10)
    except HTTPError as answer:
        print("the sidecar answered", answer.code)
    if context["dag_run"].conf.get("fail"):
        raise ValueError("as the test wants it")


with DAG(dag_id="trial", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    load()


def start_server():
    """Starts Airflow's API server; returns once it answers."""
    host, port = os.environ["ADDRESS"].split(":")
    server = subprocess.Popen(
        [sys.executable, "-m", "airflow", "api-server"]
        + ["--apps", "execution", "--host", host, "--port", port, "--workers", "1"]
    )
    while server.poll() is None:
        try:
            urlopen(f"http://{host}:{port}/execution/health", timeout=10)
            return server
        except HTTPError:
            return server
        except URLError:
            time.sleep(0.2)
    raise SystemExit(f"the API server has ended with {server.returncode}")


if __name__ == "__main__":
    with start_server() as server:
        try:
            run = dag.test(use_executor=True, run_conf=json.loads(os.environ["CONF"]))
            [instance] = run.get_task_instances()
            with open(sys.argv[1], "w") as result:
                json.dump({"state": instance.state}, result)
        finally:
            server.terminate()
