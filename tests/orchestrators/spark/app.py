"""
An application for Spark: work on executors, then a last use of the network through the driver's sidecar.

    spark-submit … app.py EXIT_CODE
"""

import json
import socket
import sys
from urllib.error import HTTPError
from urllib.request import urlopen

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
numbers = spark.sparkContext.parallelize(range(100), 2)
pairs = numbers.map(lambda number: (socket.gethostname(), number)).collect()
hosts = sorted({host for host, _ in pairs})
# It deletes the executors.
spark.stop()
print(json.dumps({"sum": sum(number for _, number in pairs), "hosts": hosts}))
try:
    urlopen("http://localhost:15020/last-use", timeout=10)
except HTTPError as answer:
    print("the sidecar answered", answer.code)
sys.exit(int(sys.argv[1]))
