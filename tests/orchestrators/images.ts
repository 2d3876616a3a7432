/** Images with the ENTRYPOINT of the orchestrators' own; their programs are mounted from the machine. */

import type { MadeImage } from "../kubernetes/images.ts";
import { ENVOY_IMAGE as DEBIAN } from "../containers/support.ts";

/** As Airflow's. */
export const AIRFLOW = { repository: "registry.example.com/airflow", tag: "1" } as const;

/** As Dagster's, without an ENTRYPOINT. */
export const DAGSTER = "registry.example.com/dagster:1";

/** As Spark's. */
export const SPARK = "registry.example.com/spark:1";

/** What Spark's own script does, as far as it is needed here. */
const START_SPARK = `#!/bin/bash
role=$1
shift
case $role in
  driver)
    exec tini -s -- "$SPARK_HOME/bin/spark-submit" \\
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" --deploy-mode client "$@"
    ;;
  executor)
    readarray -t options < <(env | grep ^SPARK_JAVA_OPT_ | sort -t_ -k4 -n | sed 's/[^=]*=//')
    exec tini -s -- "$JAVA_HOME/bin/java" "\${options[@]}" \\
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$SPARK_HOME/jars/*" \\
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \\
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" \\
      --cores "$SPARK_EXECUTOR_CORES" --app-id "$SPARK_APPLICATION_ID" \\
      --hostname "$SPARK_EXECUTOR_POD_IP" --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" \\
      --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
esac
`;

/** The images of these tests alone. */
export const ORCHESTRATOR_IMAGES: readonly MadeImage[] = [
  {
    name: `${AIRFLOW.repository}:${AIRFLOW.tag}`,
    from: DEBIAN,
    files: { "/entrypoint": { text: '#!/bin/bash\nexec "$@"\n' } },
    more: 'ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]',
  },
  { name: DAGSTER, from: DEBIAN, files: {} },
  {
    name: SPARK,
    from: DEBIAN,
    files: { "/opt/entrypoint.sh": { text: START_SPARK } },
    more: 'ENTRYPOINT ["/opt/entrypoint.sh"]',
  },
];
