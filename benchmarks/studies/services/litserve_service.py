"""LitServe: setup, decode, predict, encode, in a worker beside the HTTP server. python -m ... PORT starts it.

https://lightning.ai/docs/litserve/api-reference/litapi
"""

import sys
from typing import Any

import litserve as ls

from benchmarks.studies.services.loyalty import Loyalty, litert_network


class LoyaltyAPI(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.loyalty = Loyalty(litert_network)

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def predict(self, request: dict[str, Any]) -> dict[str, Any]:
        if "customer_ids" in request:
            return self.loyalty.batch(request["type"], request["customer_ids"])
        return self.loyalty.single(request["type"], request["customer_id"])

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    server = ls.LitServer(LoyaltyAPI(api_path="/ml/predict"), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
