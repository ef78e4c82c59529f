"""MLServer: a custom runtime, loaded once for each model; its own codecs and protocol (V2), answers as columns.

`mlserver start FOLDER` reads settings.json, and a model-settings.json a model, which `benchmarks.studies.peers` writes.
https://docs.seldon.ai/mlserver/user-guide/custom
"""

from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.studies.services.loyalty import Model, customers, litert_network


class LoyaltyModel(MLModel):
    async def load(self) -> bool:
        self.model = Model(self.name, litert_network(self.name))
        self.features = customers()
        self.rows = {str(row): row for row in range(len(self.features))}
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        customer_ids = self.decode(payload.inputs[0], default_codec=StringCodec)
        features = self.features[[self.rows[customer_id] for customer_id in customer_ids]]
        probabilities = self.model.network(features)
        outputs: list[Any] = [StringCodec.encode_output("customer_id", customer_ids)]
        if self.name == "churn":
            risks = self.model.risks(probabilities.tolist(), features)
            outputs.append(NumpyCodec.encode_output("churn_probability", probabilities))
            outputs.append(StringCodec.encode_output("churn_risk", risks))
        else:
            outputs.append(NumpyCodec.encode_output("offer_scores", probabilities))
            outputs.append(NumpyCodec.encode_output("recommended_offer", np.argmax(probabilities, axis=1)))
        return InferenceResponse(model_name=self.name, outputs=outputs)
