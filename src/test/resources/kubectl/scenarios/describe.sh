# One machine in full, with what happened to it.
kubectl apply -f vm.yaml
kubectl patch vm web --subresource=status --type=merge --patch-file=status.yaml
kubectl describe vm web
sed "s/NAMESPACE/$NAMESPACE/; s/UID/$(kubectl get vm web -o jsonpath='{.metadata.uid}')/; s/NOW/$(date -u +%FT%TZ)/" event.yaml > started.yaml
kubectl create -f started.yaml
kubectl describe vm web
kubectl describe vm
kubectl events --for virtualmachine/web
kubectl events --types=Warning
kubectl get events
kubectl get events --field-selector involvedObject.name=web,reason=Started -o name
kubectl describe vm nosuch
kubectl apply -f network.yaml
kubectl describe network lab
kubectl delete vm,network,events --all
