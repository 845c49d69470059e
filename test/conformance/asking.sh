#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Stands for the runtime where every container is to have a secret: has the
# container that is created ask for one, and becomes the shim. What is no bundle,
# as some tests want it, is passed on as it is.
#
#   asking.sh SHIM ARGUMENTS-OF-THE-RUNTIME...
shim=$1
shift
creates='' bundle=. config=config.json previous=''
for argument; do
	case $previous in
	-b | --bundle) bundle=$argument ;;
	-f | --config) config=$argument ;; # crun's, below the bundle
	esac
	case $argument in
	create | run) creates=yes ;;
	-b=* | --bundle=*) bundle=${argument#*=} ;;
	--config=*) config=${argument#*=} ;;
	esac
	previous=$argument
done
if [ "$creates" ]; then
	asked=$(jq '.annotations["secrets.oci/from"] = "conformance"' "$bundle/$config" 2>/dev/null) &&
		printf '%s\n' "$asked" >"$bundle/$config"
fi
exec "$shim" "$@"
