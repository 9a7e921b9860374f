{{- define "inferq.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 41 | trimSuffix "-" }}
{{- end }}

{{/* Begins names. Short enough for -NAME of a group and for what controllers append. */}}
{{- define "inferq.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 41 | trimSuffix "-" }}
{{- else if contains (include "inferq.name" .) .Release.Name -}}
{{ .Release.Name | trunc 41 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "inferq.name" .) | trunc 41 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Labels that never change, by which pods are selected. Takes root, component, and of workers group. */}}
{{- define "inferq.selectorLabels" -}}
app.kubernetes.io/name: {{ include "inferq.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
worker-group: {{ . }}
{{- end }}
{{- end }}

{{- define "inferq.labels" -}}
{{ include "inferq.selectorLabels" . }}
app.kubernetes.io/part-of: inferq
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods: none that changes with a version of the chart, or every upgrade would replace them all. */}}
{{- define "inferq.podLabels" -}}
{{ include "inferq.selectorLabels" . }}
app.kubernetes.io/part-of: inferq
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels and annotations of pods. Takes root, component, of, and of workers group. */}}
{{- define "inferq.podMetadata" -}}
labels:
  {{- mustMergeOverwrite (dict) (.of.podLabels | default dict) (include "inferq.podLabels" . | fromYaml) | toYaml | nindent 2 }}
{{- $checksum := dict }}
{{- with .root.Values.redis.url }}
{{- $checksum = dict "checksum/redis" (sha256sum .) }}
{{- end }}
{{- with mustMergeOverwrite $checksum (.of.podAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "inferq.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "inferq.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* Takes root and image. */}}
{{- define "inferq.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A value of a setting as an environment variable has it: large whole numbers without an exponent. */}}
{{- define "inferq.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end }}

{{/* Fails where values contradict each other in a way that the schema cannot say. */}}
{{- define "inferq.check" -}}
{{- $redis := .Values.redis -}}
{{- $ways := 0 -}}
{{- range list $redis.url $redis.existingSecret .Values.valkey.enabled }}{{ if . }}{{ $ways = add1 $ways }}{{ end }}{{ end -}}
{{- if ne (int $ways) 1 -}}
{{- fail "Exactly one of redis.url, redis.existingSecret and valkey.enabled says where the queue is." -}}
{{- end -}}
{{- $servers := len (regexFindAll "://" $redis.url -1) -}}
{{- $isCluster := contains "+cluster://" $redis.url -}}
{{- if and (gt (int $redis.shards) 1) (or .Values.valkey.enabled (and $redis.url (not $isCluster) (ne (int $redis.shards) $servers))) -}}
{{- fail "redis.shards is for a Redis Cluster (redis+cluster://…): several URLs with commas between are a shard each." -}}
{{- end -}}
{{- if and (hasPrefix "file://" .Values.blobStore.url) (not .Values.blobStore.existingClaim) -}}
{{- fail "blobStore.url names a folder: blobStore.existingClaim has to name the claim that is mounted there." -}}
{{- end -}}
{{- if and .Values.blobStore.existingClaim (not (hasPrefix "file://" .Values.blobStore.url)) -}}
{{- fail "blobStore.existingClaim is mounted at the folder of blobStore.url: it has to be file:///folder." -}}
{{- end -}}
{{- $blobs := include "inferq.blobFolder" .Values.blobStore | clean -}}
{{- if has $blobs (list "/" "/tmp" "/app" "/app/models") -}}
{{- fail (printf "blobStore.url is the folder %s, where a pod has files of its own: choose another one." $blobs) -}}
{{- end -}}
{{- if and .Values.metrics.podMonitor.enabled (not .Values.metrics.workerPort) -}}
{{- fail "metrics.podMonitor needs metrics.workerPort." -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.settings.metricsKeys (not .Values.metrics.serviceMonitor.apiKey.existingSecret) -}}
{{- fail "settings.metricsKeys is set, so metrics.serviceMonitor.apiKey.existingSecret has to name a Secret with such a key." -}}
{{- end -}}
{{- with .Values.proxy.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "proxy.autoscaling.minReplicas is %d, and has to be %d at most: maxReplicas." (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and .enabled (not (dig "requests" "cpu" "" $.Values.proxy.resources)) (not (dig "limits" "cpu" "" $.Values.proxy.resources)) -}}
{{- fail "proxy.autoscaling needs proxy.resources.requests.cpu, of which it measures the share that is used." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.proxy.ingress.enabled (not .Values.proxy.ingress.hosts) -}}
{{- fail "proxy.ingress needs proxy.ingress.hosts." -}}
{{- end -}}
{{- $taken := list (printf "%s-proxy" (include "inferq.fullname" .)) -}}
{{- $groups := list -}}
{{- range (include "inferq.groups" . | fromJson).groups -}}
{{- if or (has .name $taken) (has .group $groups) -}}
{{- fail (printf "workers %s: its Deployment would be called %s, or its group as another is: choose another name." .group .name) -}}
{{- end -}}
{{- $taken = append $taken .name -}}
{{- $groups = append $groups .group -}}
{{- if and .of.keda.enabled (gt (int .of.keda.minReplicas) (int .of.keda.maxReplicas)) -}}
{{- fail (printf "workers %s: keda.minReplicas is %d, and has to be %d at most: maxReplicas." .group (int .of.keda.minReplicas) (int .of.keda.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where the queue is. */}}
{{- define "inferq.redisEnv" -}}
{{- if .Values.valkey.enabled -}}
- name: VALKEY_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "inferq.valkeySecretName" . }}
      key: {{ .Values.valkey.existingSecretKey }}
- name: INFERQ_REDIS_URL
  value: redis://:$(VALKEY_PASSWORD)@{{ include "inferq.fullname" . }}-valkey:6379/0
{{- else -}}
- name: INFERQ_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret | default (printf "%s-redis" (include "inferq.fullname" .)) }}
      key: {{ if .Values.redis.existingSecret }}{{ .Values.redis.existingSecretKey }}{{ else }}url{{ end }}
{{- end }}
{{- if gt (int .Values.redis.shards) 1 }}
- name: INFERQ_SHARDS
  value: {{ int .Values.redis.shards | quote }}
{{- end }}
{{- end }}

{{- define "inferq.valkeySecretName" -}}
{{ .Values.valkey.existingSecret | default (printf "%s-valkey" (include "inferq.fullname" .)) }}
{{- end }}

{{/* What proxies and workers have in common. Takes root and settings. */}}
{{- define "inferq.env" -}}
{{ include "inferq.redisEnv" .root }}
{{- with .root.Values.blobStore }}
{{- if .url }}
- name: INFERQ_BLOB_STORE
  value: {{ .url | quote }}
{{- include "inferq.storeEnv" . }}
{{- end }}
{{- end }}
{{- with .root.Values.webhookSecret }}
{{- if .existingSecret }}
- name: INFERQ_WEBHOOK_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .existingSecretKey }}
{{- end }}
{{- end }}
{{- range $name, $value := .settings }}
{{- if not (kindIs "invalid" $value) }}
- name: INFERQ_{{ snakecase $name | upper }}
  value: {{ include "inferq.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The variables by which clients of S3 find an object store. Takes endpoint, region and existingSecret. */}}
{{- define "inferq.storeEnv" -}}
{{- with .endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .existingSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $.existingSecret }}
      key: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What pods of inferq's images have in common. Takes root, of (the values of proxy or of a group), perhaps longRunsGoLast. */}}
{{- define "inferq.pod" -}}
serviceAccountName: {{ include "inferq.serviceAccountName" .root }}
automountServiceAccountToken: {{ .longRunsGoLast | default false }}
# variables of Services called inferq-… would look like settings
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- include "inferq.placement" .of }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml (merge (dict "labelSelector" (dict "matchLabels" (include "inferq.selectorLabels" $ | fromYaml))) .) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "inferq.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The volumes of both images, and where they are mounted. Take root and of. */}}
{{- define "inferq.volumes" -}}
- name: tmp
  emptyDir: {}
{{- with .root.Values.blobStore }}
{{- if .existingClaim }}
- name: blobs
  persistentVolumeClaim:
    claimName: {{ .existingClaim }}
{{- end }}
{{- end }}
{{- with .of.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The folder of a file:// URL as the processes read it, %20 being a blank; empty for a bucket. */}}
{{- define "inferq.blobFolder" -}}
{{ if hasPrefix "file://" .url }}{{ (urlParse .url).path }}{{ end }}
{{- end }}

{{- define "inferq.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- with .root.Values.blobStore }}
{{- if .existingClaim }}
- name: blobs
  mountPath: {{ include "inferq.blobFolder" . | quote }}
{{- end }}
{{- end }}
{{- with .of.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How many may be evicted. Takes root, component, perhaps group, name and budget. */}}
{{- define "inferq.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "inferq.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .budget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "inferq.selectorLabels" . | nindent 6 }}
{{- end }}
