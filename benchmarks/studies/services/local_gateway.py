"""python -m ...local_gateway PORT: the functions behind the HTTP server of `make run`, over memory."""

import logging
import sys
import threading

import waitress

from benchmarks.studies.services import memory_stores
from functions.batch import app as batch_function
from functions.predict import app as predict_function
from local.gateway import Gateway
from local.template import Route
from loyalty_ml.api.http import BASE_PATH


def main() -> None:
    memory_stores.install()
    logging.getLogger("waitress").setLevel(logging.ERROR)
    routes = [
        Route("POST", f"{BASE_PATH}/ml/predict", "PredictFunction"),
        Route("POST", f"{BASE_PATH}/ml/predict/batch", "BatchFunction"),
    ]
    handlers = {"PredictFunction": predict_function.handler, "BatchFunction": batch_function.handler}
    waitress.serve(Gateway(routes, handlers, threading.Lock()), host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
