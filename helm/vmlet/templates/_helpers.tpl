{{/* Agents keep their Leases there, and a second installation would share nodes and kinds with this one. */}}
{{- define "vmlet.namespace" -}}
{{- if ne .Release.Namespace "vmlet-system" -}}
{{- fail (printf "vmlet is installed into the namespace vmlet-system, where its agents keep their Leases, not into %s: add --namespace vmlet-system" .Release.Namespace) -}}
{{- end -}}
vmlet-system
{{- end }}

{{- define "vmlet.selector" -}}
app.kubernetes.io/name: vmlet
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* Of an object: dict "root" $ "component" "agent". */}}
{{- define "vmlet.labels" -}}
{{ include "vmlet.selector" .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "vmlet.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
