# The end of a machine, with and without a finalizer.
kubectl apply -f vm.yaml
kubectl patch vm web --type=merge -p '{"metadata": {"finalizers": ["vmlet.dev/hold"]}}'
kubectl delete vm web --wait=false
kubectl get vm web -o jsonpath='{.metadata.deletionTimestamp}{"\n"}'
kubectl delete vm web --timeout=1s
kubectl apply -f vm-grown.yaml
kubectl delete vm web -v=6 > deleted 2> log &
await_text log DELETE
kubectl patch vm web --type=merge -p '{"metadata": {"finalizers": null}}'
wait %1
cat deleted
kubectl get vm web
kubectl delete vm web
for name in a b c; do sed "s/name: web/name: $name/" vm.yaml; echo ---; done | kubectl create -f -
kubectl delete vm -l app=web --dry-run=server
kubectl delete vm a b
kubectl delete vm --all
