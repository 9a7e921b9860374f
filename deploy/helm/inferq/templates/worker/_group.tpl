{{/*
Every group of workers with what it has of its own and what `worker` says, as JSON {"groups": [...]}: include returns text. A template reads it
with fromJson and sets the root.
*/}}
{{- define "inferq.groups" -}}
{{- $groups := list -}}
{{- $common := deepCopy .Values.settings -}}
{{- range .Values.workers -}}
{{- $keda := mustMergeOverwrite (deepCopy $.Values.worker.keda) (.keda | default dict | deepCopy) -}}
{{- if and $keda.enabled (not $keda.minReplicas) (not (hasKey $.Values.settings "modelTtlSeconds")) -}}
{{- /* while it has no worker, those of other groups would have its models forgotten: a month */ -}}
{{- $_ := set $common "modelTtlSeconds" 2592000 -}}
{{- end -}}
{{- end -}}
{{- range .Values.workers -}}
{{- $of := mustMergeOverwrite (deepCopy $.Values.worker) (omit . "name" "fullnameOverride" | deepCopy) -}}
{{- $settings := mustMergeOverwrite (deepCopy $common) ($of.settings | default dict) -}}
{{- if $of.models -}}
{{- $_ := set $settings "models" (join "," $of.models) -}}
{{- end -}}
{{- if $of.providers -}}
{{- $_ := set $settings "providers" (join "," $of.providers) -}}
{{- end -}}
{{- $name := .fullnameOverride | default (printf "%s-%s" (include "inferq.fullname" $) .name) -}}
{{- $groups = append $groups (dict "component" "worker" "group" .name "name" $name "of" $of "settings" $settings "longRunsGoLast" (ternary $of.keda.enabled $of.longRunsGoLast (kindIs "invalid" $of.longRunsGoLast))) -}}
{{- end -}}
{{- toJson (dict "groups" $groups) -}}
{{- end }}

{{/* How long a worker may take to stop, in seconds: what it takes itself, and 10 for what comes after it. Takes a group. */}}
{{- define "inferq.gracePeriod" -}}
{{- $least := add (ceil (.settings.shutdownSeconds | default 30)) 10 -}}
{{- $seconds := .of.terminationGracePeriodSeconds | default $least -}}
{{- if lt (int $seconds) (int $least) -}}
{{- fail (printf "workers %s: terminationGracePeriodSeconds is %d, and has to be %d at least: settings.shutdownSeconds and 10." .group (int $seconds) (int $least)) -}}
{{- end -}}
{{ int $seconds }}
{{- end }}

{{/* The model repository of a group: its own, or that of all. Fails where it names more than one source. */}}
{{- define "inferq.repository" -}}
{{- $repository := .of.modelRepository | default .root.Values.modelRepository -}}
{{- $sources := list -}}
{{- with dig "imageVolume" "reference" "" $repository }}{{ $sources = append $sources "imageVolume" }}{{ end -}}
{{- with dig "claim" "name" "" $repository }}{{ $sources = append $sources "claim" }}{{ end -}}
{{- with dig "copy" "image" "" $repository }}{{ $sources = append $sources "copy" }}{{ end -}}
{{- with dig "store" "url" "" $repository }}{{ $sources = append $sources "store" }}{{ end -}}
{{- if gt (len $sources) 1 -}}
{{- fail (printf "workers %s: modelRepository names several sources, %s: one is needed." .group (join " and " $sources)) -}}
{{- end -}}
{{- $source := first $sources -}}
{{- $defaults := dict -}}
{{- if $source }}{{ $defaults = index .root.Values.modelRepository $source }}{{ end -}}
{{- toJson (dict "source" ($source | default "") "of" (mustMergeOverwrite (deepCopy $defaults) (dig (default "" $source) dict $repository))) -}}
{{- end }}

{{- define "inferq.repositoryVolume" -}}
{{- $repository := include "inferq.repository" . | fromJson }}
{{- with $repository.of }}
{{- if eq $repository.source "imageVolume" }}
- name: models
  image:
    reference: {{ .reference }}
    pullPolicy: {{ .pullPolicy }}
{{- else if eq $repository.source "claim" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ .name }}
    readOnly: true
{{- else }}
- name: models
  emptyDir: {}
{{- end }}
{{- end }}
{{- end }}

{{- define "inferq.repositoryMount" -}}
{{- $repository := include "inferq.repository" . | fromJson }}
{{- if $repository.source }}
- name: models
  mountPath: /app/models
  readOnly: true
  {{- with $repository.of.subPath }}
  subPath: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The container that copies the model repository before the worker starts, where one does. */}}
{{- define "inferq.repositoryInit" -}}
{{- $repository := include "inferq.repository" . | fromJson }}
{{- with $repository.of }}
{{- if has $repository.source (list "copy" "store") }}
- name: models
  image: {{ .image }}
  imagePullPolicy: {{ .pullPolicy }}
  securityContext:
    {{- toYaml $.root.Values.securityContext | nindent 4 }}
  {{- if eq $repository.source "copy" }}
  command: [cp, -R, {{ printf "%s/." (trimSuffix "/" .path) | quote }}, /models/]
  {{- else }}
  command: [aws, s3, cp, --recursive, --no-progress, {{ .url | quote }}, /models/]
  env:
    - name: HOME
      value: /tmp
    {{- include "inferq.storeEnv" . | nindent 4 }}
  {{- end }}
  resources:
    requests: {cpu: 100m, memory: 128Mi}
    limits: {memory: 512Mi}
  volumeMounts:
    - name: tmp
      mountPath: /tmp
    - name: models
      mountPath: /models
{{- end }}
{{- end }}
{{- end }}
