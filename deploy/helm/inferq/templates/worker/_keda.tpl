{{/* What KEDA asks for a group: {names, triggers, target}. A trigger for each model, or for each model and priority. */}}
{{- define "inferq.kedaQueues" -}}
{{- $keda := .of.keda -}}
{{- if not .of.models -}}
{{- fail (printf "workers %s: keda needs models, the names of those that its workers serve." .group) -}}
{{- end -}}
{{- $triggers := list -}}
{{- range $index, $model := .of.models -}}
{{- if hasPrefix "!" $model -}}
{{- fail (printf "workers %s: keda needs the names of models that are served, and got %s." $.group $model) -}}
{{- end -}}
{{- if eq $keda.trigger "seconds" -}}
{{- $url := printf "http://%s-proxy.%s.svc:%v/queue/%s?target_wait_seconds=%s" (include "inferq.fullname" $.root) $.root.Release.Namespace $.root.Values.proxy.service.port $model (include "inferq.text" $keda.targetWaitSeconds) -}}
{{- $metadata := dict "url" $url "valueLocation" "needed_workers" "targetValue" "1" -}}
{{- if $.root.Values.apiKeys.existingSecret -}}
{{- $_ := set $metadata "authMode" "bearer" -}}
{{- end -}}
{{- $triggers = append $triggers (dict "name" (printf "model_%d" $index) "type" "metrics-api" "metadata" $metadata) -}}
{{- else -}}
{{- range $priority := list "high" "normal" "low" -}}
{{- $metadata := dict "address" (include "inferq.kedaAddress" $) "listName" (printf "%squeue:%s:open:%s" ($.settings.keyPrefix | default "") $model $priority) "listLength" (include "inferq.text" $keda.jobsPerWorker) "databaseIndex" (include "inferq.text" $keda.redis.database) -}}
{{- with $keda.redis.username -}}
{{- $_ := set $metadata "username" . -}}
{{- end -}}
{{- if $keda.redis.tls -}}
{{- $_ := set $metadata "enableTLS" "true" -}}
{{- end -}}
{{- $triggers = append $triggers (dict "name" (printf "model_%d_%s" $index $priority) "type" "redis" "metadata" $metadata) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range $triggers }}{{ $names = append $names .name }}{{ end -}}
{{- $target := ternary "1" (include "inferq.text" $keda.jobsPerWorker) (eq $keda.trigger "seconds") -}}
{{- toJson (dict "names" $names "triggers" $triggers "target" $target) -}}
{{- end }}

{{- define "inferq.kedaAddress" -}}
{{- $url := .root.Values.redis.url -}}
{{- if or (gt (int .root.Values.redis.shards) 1) (contains "+cluster://" $url) (gt (len (regexFindAll "://" $url -1)) 1) -}}
{{- fail (printf "workers %s: keda.trigger jobs reads one server; with shards, the trigger seconds counts all." .group) -}}
{{- end -}}
{{- if .root.Values.valkey.enabled -}}
{{ include "inferq.fullname" .root }}-valkey.{{ .root.Release.Namespace }}.svc:6379
{{- else -}}
{{ required (printf "workers %s: keda.trigger jobs needs keda.redis.address, host:port of the server." .group) .of.keda.redis.address }}
{{- end -}}
{{- end }}

{{/* What KEDA shows to the proxy or to Redis, as secretTargetRef of a TriggerAuthentication; empty: nothing. */}}
{{- define "inferq.kedaAuthentication" -}}
{{- $keda := .of.keda -}}
{{- $references := list -}}
{{- if eq $keda.trigger "seconds" -}}
{{- if .root.Values.apiKeys.existingSecret -}}
{{- $secret := required (printf "workers %s: apiKeys is set, so keda.apiKey.existingSecret has to name a Secret with a key for KEDA." .group) $keda.apiKey.existingSecret -}}
{{- $references = append $references (dict "parameter" "token" "name" $secret "key" $keda.apiKey.existingSecretKey) -}}
{{- end -}}
{{- else if .root.Values.valkey.enabled -}}
{{- $references = append $references (dict "parameter" "password" "name" (include "inferq.valkeySecretName" .root) "key" .root.Values.valkey.existingSecretKey) -}}
{{- else if $keda.redis.existingSecret -}}
{{- $references = append $references (dict "parameter" "password" "name" $keda.redis.existingSecret "key" $keda.redis.existingSecretKey) -}}
{{- end -}}
{{- toJson (dict "secretTargetRef" $references) -}}
{{- end }}
