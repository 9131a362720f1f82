# Changes as they happen.
kubectl apply -f vm.yaml
kubectl get vm --watch > watched &
await_lines watched 2
kubectl patch vm web --subresource=status --type=merge -p '{"status": {"phase": "Starting"}}'
await_lines watched 3
kubectl create -f <(sed 's/name: web/name: other/' vm.yaml)
await_lines watched 4
kubectl delete vm web
await_lines watched 5
kill %1
cat watched
# kubectl drops the first event of a watch of one: a change before that would be lost.
kubectl get vm other --watch --output-watch-events -v=6 > watched 2> log &
await_text log watch=true
await_lines watched 2
kubectl label vm other tier=front
await_lines watched 3
kubectl delete vm other
await_lines watched 4
kill %1
cat watched
