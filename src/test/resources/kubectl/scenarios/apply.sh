# Client-side apply: created, unchanged, configured, shown as a difference before. A machine is "configured" even when
# nothing changes, for kubectl compares its list of disks with the one that the server filled in.
kubectl apply -f network.yaml -f vm.yaml
kubectl apply -f network.yaml -f vm.yaml
kubectl diff -f vm.yaml
kubectl diff -f vm-grown.yaml
kubectl apply -f vm-grown.yaml --dry-run=server
kubectl apply -f vm-grown.yaml --dry-run=client
kubectl get vm web -o jsonpath='{.spec.cpu.cores} {.metadata.generation}{"\n"}'
kubectl apply -f vm-grown.yaml
kubectl apply -f vm-grown.yaml
kubectl get vm web -o yaml
kubectl apply view-last-applied vm/web
# What apply no longer names goes.
kubectl apply -f - < <(sed '/labels:/,/app:/d' vm-grown.yaml)
kubectl get vm web -o jsonpath='{.metadata.labels}{"\n"}'
# What is wrong is refused, in words.
kubectl apply -f vm-unknown-field.yaml
kubectl apply -f vm-unknown-field.yaml --validate=warn
kubectl apply -f vm-unknown-field.yaml --validate=ignore
kubectl apply -f vm-elsewhere.yaml
kubectl apply -f <(sed 's/name: web/name: Web/' vm.yaml)
kubectl apply -f <(sed 's/VirtualMachine/Nosuch/' vm.yaml)
kubectl delete -f network.yaml -f vm.yaml
kubectl delete -f vm.yaml
kubectl delete -f vm.yaml --ignore-not-found
