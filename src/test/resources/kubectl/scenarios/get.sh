# What people see.
kubectl get vm
kubectl apply -f vm.yaml -f network.yaml
kubectl patch vm web --subresource=status --type=merge --patch-file=status.yaml
kubectl create -f <(sed 's/name: web/name: other/; s/app: web/app: other/' vm.yaml)
kubectl get vm
kubectl get vms -o wide
kubectl get virtualmachine web
kubectl get vm web other --show-labels
kubectl get vm/web network/lab
kubectl get vm,vmnet -o name
kubectl get all -o name
kubectl get vmlet -o name | sort
kubectl get vm -A --field-selector metadata.namespace=$NAMESPACE
kubectl get vm -l app=web
kubectl get vm -l 'app in (web, other)' -L app --no-headers
kubectl get vm --field-selector spec.nodeName=n1 -o name
kubectl get vm --field-selector spec.nodeName=n2
kubectl get vm --field-selector spec.runStrategy=Always
kubectl get vm --sort-by=.metadata.name --chunk-size=1
kubectl get vm -o custom-columns=NAME:.metadata.name,DISKS:.spec.disks[*].name,PHASE:.status.phase
kubectl get vm -o jsonpath='{range .items[*]}{.metadata.name}={.spec.memory.size}{"\n"}{end}'
kubectl get vm -o go-template='{{range .items}}{{.metadata.name}} {{end}}{{"\n"}}'
kubectl get vm web -o json
kubectl get vm web -o yaml
kubectl get vm nosuch
kubectl get vm web nosuch
kubectl get nosuch
kubectl get vm -n nosuch
kubectl get --raw /apis/vmlet.dev/v1alpha1/namespaces/$NAMESPACE/virtualmachines/nosuch
kubectl get crd -o name | grep vmlet
kubectl get namespace $NAMESPACE
kubectl get vm web --subresource=status -o jsonpath='{.status.phase}{"\n"}'
kubectl delete vm --all
kubectl delete network --all
