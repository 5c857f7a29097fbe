{{/* Names and labels that several templates need. */}}

{{- define "pannier.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains "pannier" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-pannier" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pannier.operator" -}}
{{- include "pannier.fullname" . }}-operator
{{- end -}}

{{/* Names of objects without a namespace: two releases of the same name in different namespaces must not share them. */}}
{{- define "pannier.clusterName" -}}
{{- if eq .Release.Namespace "pannier-system" -}}
{{- include "pannier.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" (include "pannier.fullname" .) .Release.Namespace | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pannier.certificateSecret" -}}
{{- include "pannier.operator" . }}-certificate
{{- end -}}

{{- define "pannier.selectorLabels" -}}
app.kubernetes.io/name: pannier
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "pannier.labels" -}}
{{ include "pannier.selectorLabels" . }}
app.kubernetes.io/part-of: pannier
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "pannier.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{- define "pannier.testNamespace" -}}
{{- if .Values.test.namespace -}}
{{- .Values.test.namespace -}}
{{- else if .Values.watchedNamespaces -}}
{{- first .Values.watchedNamespaces -}}
{{- else -}}
{{- include "pannier.fullname" . }}-test
{{- end -}}
{{- end -}}

{{/* What the pods of `helm test` have in common. */}}
{{- define "pannier.testPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "pannier.testContainer" -}}
image: {{ include "pannier.image" (dict "image" .Values.sidecar.image "root" .) | quote }}
imagePullPolicy: {{ .Values.sidecar.image.pullPolicy }}
command: [python, -c]
resources:
  requests: {cpu: 10m, memory: 32Mi}
  limits: {memory: 128Mi}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The definitions that the chart installs, each with its file. */}}
{{- define "pannier.definitions" -}}
components.dapr.io: crd/component.yaml
resiliencies.dapr.io: crd/resiliency.yaml
configurations.dapr.io: crd/configuration.yaml
{{- end -}}

{{/* What installed the definition of this name that is in the cluster, if not this release: an earlier release, or
something other than Helm. The chart then leaves that definition unchanged. Takes `definition` and `root`. */}}
{{- define "pannier.foreignDefinition" -}}
{{- $release := .root.Release -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .definition -}}
{{- $found := .metadata.annotations | default dict -}}
{{- $name := index $found "meta.helm.sh/release-name" | default "" -}}
{{- $namespace := index $found "meta.helm.sh/release-namespace" | default "" -}}
{{- if or (ne $name $release.Name) (ne $namespace $release.Namespace) -}}
{{- if $name }}release {{ $name }} in {{ $namespace }}{{ else }}something other than Helm{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" if the definition of this name is not Pannier's, but for example Dapr's. Then others use its objects too.
Takes `definition` and `root`. */}}
{{- define "pannier.sharesDefinition" -}}
{{- if not .root.Values.crds.enabled -}}
true
{{- else -}}
{{- with lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" .definition -}}
{{- if ne (index (.metadata.labels | default dict) "app.kubernetes.io/part-of" | default "") "pannier" }}true{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A label selector as a list of matchExpressions, to be added to others. */}}
{{- define "pannier.requirements" -}}
{{- $requirements := list }}
{{- range $key, $value := .matchLabels }}
{{- $requirements = append $requirements (dict "key" $key "operator" "In" "values" (list $value)) }}
{{- end }}
{{- range .matchExpressions }}
{{- $requirements = append $requirements . }}
{{- end }}
{{- with $requirements }}
{{- toYaml . }}
{{- end }}
{{- end -}}

{{- define "pannier.selectedNamespaces" -}}
{{- include "pannier.requirements" .Values.namespaceSelector }}
{{- end -}}

{{/* What the webhook does with Components of types that only Dapr serves. */}}
{{- define "pannier.unservedTypes" -}}
{{- .Values.webhooks.components.unservedTypes | default (ternary "Warn" "Refuse" (eq (include "pannier.sharesDefinition" (dict "definition" "components.dapr.io" "root" .)) "true")) }}
{{- end -}}

{{/* The rules that the operator needs in every namespace it handles, each with its reason. */}}
{{- define "pannier.namespacedRules" -}}
# To judge what users write, and to find what each app should see.
- apiGroups: [dapr.io]
  resources: [components, resiliencies, configurations]
  verbs: [get, list, watch]
# To report their statuses. What users write there is never written.
- apiGroups: [dapr.io]
  resources: [components/status, resiliencies/status, configurations/status]
  verbs: [patch]
{{- range $definition, $_ := include "pannier.definitions" . | fromYaml }}
{{- if include "pannier.sharesDefinition" (dict "definition" $definition "root" $) }}
# To report the status in an annotation if this definition is not ours and has no status.
- apiGroups: [dapr.io]
  resources: [{{ trimSuffix ".dapr.io" $definition }}]
  verbs: [patch]
{{- end }}
{{- end }}
# To read the Secrets that components refer to, and to write one for each app. Kubernetes cannot limit this to names.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update, delete]
# To know which apps run and which pods miss their sidecar; and to change an annotation, so that the kubelet shows a pod
# its changed Secret at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
{{- if .Values.missedPods.evict }}
# To evict pods that miss their sidecar, which their owners create again (missedPods.evict).
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
{{- end }}
# To create Events about these objects and pods.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
# To find the Deployment or CronJob that a pod comes from: mistakes are reported there, and a Job that was created by hand from a
# CronJob keeps its app id.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get]
# To say which annotation to write if a namespace's LimitRange or quota would refuse the sidecar.
- apiGroups: [""]
  resources: [limitranges, resourcequotas]
  verbs: [list]
# To read the label pannier.dev/injection of a pod's namespace.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
{{- end -}}
