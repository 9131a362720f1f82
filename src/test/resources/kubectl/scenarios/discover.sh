# Finding out what there is.
kubectl api-resources --api-group=vmlet.dev
kubectl api-resources --api-group=vmlet.dev -o wide
kubectl api-resources --categories=vmlet -o name
kubectl api-versions | grep -E '^(v1|vmlet.dev/.*|coordination.k8s.io/v1|events.k8s.io/v1)$'
kubectl explain vm | sed '/^FIELDS/,$d'
kubectl explain vm | grep '<'
kubectl explain vm.spec.disks.image
kubectl explain vm.spec.runStrategy
kubectl explain vm.spec.disks --recursive
kubectl explain network.spec
kubectl explain vm.nosuch
kubectl explain secret | grep '<'
kubectl version | sed -E 's/: v[0-9].*/: VERSION/'
kubectl get --raw /readyz; echo
kubectl --token=wrong get vm
kubectl --server=https://127.0.0.1:1 get vm 2>&1 | grep -v memcache
