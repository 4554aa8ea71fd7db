{{- define "lineshaft.name" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "lineshaft.selector" -}}
app.kubernetes.io/name: lineshaft
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "lineshaft.labels" -}}
{{ include "lineshaft.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "lineshaft.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "lineshaft.serviceAccount" -}}
{{- default (include "lineshaft.name" .) .Values.serviceAccount.name -}}
{{- end }}

{{/* Settings of every pod. State that must last lies in the stores; the home is scratch. */}}
{{- define "lineshaft.settings" -}}
LINESHAFT_PROJECT: {{ .Values.connections.project | quote }}
LINESHAFT_OFFLINE_URL: {{ .Values.connections.offlineUrl | quote }}
LINESHAFT_HOME: /var/lib/lineshaft
LINESHAFT_GRPC_ADDRESS: "0.0.0.0:7700"
LINESHAFT_WEB_ADDRESS: "0.0.0.0:7701"
LINESHAFT_WEB_PROXIED: "true"
{{- range $name, $value := .Values.settings }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a pod. */}}
{{- define "lineshaft.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container. */}}
{{- define "lineshaft.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The only writable folders of a pod. */}}
{{- define "lineshaft.mounts" -}}
- {name: scratch, mountPath: /tmp, subPath: tmp}
- {name: scratch, mountPath: /var/lib/lineshaft, subPath: home}
{{- end }}

{{- define "lineshaft.volumes" -}}
- name: scratch
  emptyDir: {sizeLimit: 1Gi}
{{- end }}

{{/* The same for pods that keep their home: a claim in place of scratch, where one is named. */}}
{{- define "lineshaft.homeMounts" -}}
{{- if .Values.governance.homeClaim -}}
- {name: scratch, mountPath: /tmp, subPath: tmp}
- {name: home, mountPath: /var/lib/lineshaft}
{{- else -}}
{{ include "lineshaft.mounts" . }}
{{- end }}
{{- end }}

{{- define "lineshaft.homeVolumes" -}}
{{ include "lineshaft.volumes" . }}
{{- if .Values.governance.homeClaim }}
- name: home
  persistentVolumeClaim: {claimName: {{ .Values.governance.homeClaim }}}
{{- end }}
{{- end }}

{{- define "lineshaft.spread" -}}
- maxSkew: 1
  topologyKey: topology.kubernetes.io/zone
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "lineshaft.selector" . | nindent 6 }}
{{- end }}
