# Waiting for what is to come.
kubectl apply -f vm.yaml
kubectl wait --for=condition=Ready --timeout=1s vm/web
kubectl wait --for=condition=Ready --timeout=60s vm/web > waited &
kubectl patch vm web --subresource=status --type=merge --patch-file=status.yaml
wait %1
cat waited
kubectl wait --for=condition=Ready vm --all
kubectl wait --for=jsonpath='{.status.phase}'=Running vm/web
kubectl wait --for=condition=Ready=False --timeout=1s vm/web
kubectl wait --for=delete --timeout=1s vm/web
kubectl wait --for=delete --timeout=60s -v=6 vm/web > waited 2> log &
await_text log watch=true
kubectl delete vm web
wait %1
cat waited
kubectl wait --for=delete vm/web
kubectl wait --for=condition=Ready --timeout=1s vm/web
