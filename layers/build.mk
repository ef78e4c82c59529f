# `sam build` runs a target for each layer, in a copy of its ContentUri, with ARTIFACTS_DIR for what it makes.
LAYERS := $(dir $(lastword $(MAKEFILE_LIST)))

.PHONY: build-SharedLayer build-AnalyticsLayer
build-SharedLayer build-AnalyticsLayer:
	@python=$$(sh "$(LAYERS)../requirements/python.sh" 3.13) && \
	"$$python" "$(LAYERS)build_layer.py" --architecture $(ARCHITECTURE) . "$(ARTIFACTS_DIR)"
