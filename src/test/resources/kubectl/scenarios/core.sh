# What comes with Kubernetes.
kubectl create secret generic keys --from-literal=user=me --from-literal=password=secret
kubectl create secret generic keys --from-literal=user=me
kubectl get secret keys
kubectl get secret keys -o jsonpath='{.data.password}{"\n"}'
kubectl get secret keys -o yaml
kubectl describe secret keys | grep bytes | sort
kubectl patch secret keys -p '{"stringData": {"user": "you"}}'
kubectl get secret keys -o jsonpath='{.data}{"\n"}'
kubectl create configmap words --from-literal=a=b
kubectl get configmap words -o yaml
kubectl apply -f <(kubectl create configmap words --from-literal=a=c --dry-run=client -o yaml)
kubectl delete secret,configmap --all
kubectl create namespace $NAMESPACE-more
kubectl create namespace $NAMESPACE-more
kubectl get namespace $NAMESPACE-more
kubectl describe namespace default | head -4
kubectl create -f <(printf 'apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n' $NAMESPACE)
kubectl patch node $NAMESPACE --subresource=status -p '{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "R", "message": "m"}]}}'
kubectl get node $NAMESPACE
kubectl label node $NAMESPACE rack=1
kubectl delete node $NAMESPACE
kubectl create -f <(printf 'apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l}\nspec: {holderIdentity: me}\n')
kubectl get lease
kubectl delete lease l
