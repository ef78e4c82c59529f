# `sam build` runs a target for each layer, in a copy of its ContentUri, with ARTIFACTS_DIR for what it makes. It comes
# by layers/x86_64/Makefile or layers/arm64/Makefile, links to this file in a folder of the processor's name. The shell
# takes their path apart, as make's own functions would break it at a space.
.PHONY: build-SharedLayer build-AnalyticsLayer
build-SharedLayer build-AnalyticsLayer:
	@folder=$$(dirname "$(strip $(MAKEFILE_LIST))") && \
	python=$$(sh "$$folder/../../requirements/python.sh" 3.13) && \
	"$$python" "$$folder/../build_layer.py" --architecture "$$(basename "$$folder")" . "$(ARTIFACTS_DIR)"
