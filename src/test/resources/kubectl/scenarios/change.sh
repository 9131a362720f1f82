# Changing one machine in every way there is.
kubectl create -f vm.yaml
kubectl create -f vm.yaml
kubectl label vm web tier=front
kubectl label vm web tier=front
kubectl label vm web tier=back
kubectl label vm web tier=back --overwrite
kubectl label vm web tier-
kubectl label vm web 'tier=not a label'
kubectl annotate vm web note='hello there'
kubectl annotate vm web note-
kubectl patch vm web --type=merge -p '{"spec": {"cpu": {"cores": 2}}}'
kubectl patch vm web --type=merge -p '{"spec": {"cpu": {"cores": 2}}}'
kubectl patch vm web --type=json -p '[{"op": "replace", "path": "/spec/cpu/cores", "value": 3}]'
kubectl patch vm web --type=json -p '[{"op": "test", "path": "/spec/cpu/cores", "value": 9}]'
kubectl patch vm web -p '{"spec": {"cpu": {"cores": 4}}}'
kubectl patch vm web --type=merge -p '{"spec": {"cpu": {"cores": 0}}}'
kubectl patch vm web --type=merge -p '{"spec": {"cpu": {"cores": "many"}}}'
kubectl patch vm web --type=merge -p '{"spec": {"nodeName": "n2"}}'
kubectl patch vm web --subresource=status --type=merge -p '{"status": {"phase": "Running"}}'
kubectl patch vm nosuch --type=merge -p '{}'
EDITOR=./editor kubectl edit vm web
EDITOR=./editor kubectl edit vm web
EDITOR=./bad-editor kubectl edit vm web 2>&1 | sed 's|"/.*-edit-[0-9]*.yaml"|FILE|'
kubectl get vm web -o jsonpath='{.spec.cpu.cores} {.metadata.generation} {.status.phase}{"\n"}'
kubectl replace -f vm.yaml
kubectl get vm web -o jsonpath='{.spec.cpu.cores} {.metadata.generation}{"\n"}'
kubectl get vm web -o json | sed 's/"resourceVersion": ".*"/"resourceVersion": "1"/' | kubectl replace -f -
kubectl replace --force -f vm.yaml
kubectl delete vm web
