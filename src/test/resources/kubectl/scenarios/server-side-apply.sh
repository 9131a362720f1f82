# Server-side apply: who owns what.
kubectl apply --server-side -f vm.yaml
kubectl apply --server-side -f vm.yaml
kubectl diff --server-side -f vm-grown.yaml
kubectl get vm web -o yaml --show-managed-fields
kubectl apply --server-side --field-manager=other -f vm-grown.yaml
kubectl apply --server-side --field-manager=other --force-conflicts -f vm-grown.yaml
kubectl apply --server-side -f vm.yaml
kubectl get vm web -o jsonpath='{range .metadata.managedFields[*]}{.manager} {.operation}{"\n"}{end}'
kubectl apply --server-side -f vm-unknown-field.yaml
kubectl apply --server-side --dry-run=server --force-conflicts -f vm-grown.yaml
kubectl apply --server-side --subresource=status --field-manager=agent -f <(head -4 vm.yaml; cat status.yaml)
kubectl get vm web -o jsonpath='{.status.phase} {.metadata.generation}{"\n"}'
# From client-side to server-side: the same owner goes on.
kubectl apply -f network.yaml
kubectl apply --server-side -f network.yaml
kubectl delete vm,network --all
