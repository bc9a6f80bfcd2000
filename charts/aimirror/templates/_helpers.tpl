{{- define "aimirror.labels" -}}
app.kubernetes.io/name: aimirror
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "aimirror.keySecret" -}}
{{- .Values.cluster.existingSecret | default (printf "%s-cluster" .Release.Name) -}}
{{- end }}

{{- define "aimirror.clustered" -}}
{{- if or .Values.cluster.existingSecret .Values.cluster.key -}}yes{{- end -}}
{{- end }}
