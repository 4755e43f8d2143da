// Every sentence the page says on its own account, in one place.

export const SUGGESTIONS = [
  "¿Cómo se dice perro en bora?",
  "¿Cómo se dice agua en bora?",
  "¿Qué significa nuhba en español?",
  "¿Cómo se dice cantar en bora?",
];

export const SERVED_BY = { llm_service: "servicio", local: "modelo local", none: "solo diccionario" };

export const ANSWER_MODE = {
  generated: "redactada por el modelo",
  completed: "completada con el diccionario",
  extractive: "tomada del diccionario",
};

export const KIND = { dictionary: "diccionario", phrase: "frase", text: "texto" };

const DEGRADED = {
  llm_service: "El servicio responde con un modelo de reserva, más pequeño. Fíate sobre todo de las fuentes.",
  local: "El servicio de lenguaje no está disponible: responde el modelo local, más lento.",
  none: "No hay ningún modelo de lenguaje disponible: las respuestas son entradas del diccionario, tal cual.",
};

const PROBLEMS = {
  unreachable: "No se puede contactar con el servidor. Comprueba que está en marcha y vuelve a intentarlo.",
  interrupted: "La conexión se cortó antes de terminar la respuesta. Vuelve a intentarlo.",
  retrieval_unavailable:
    "El diccionario no está disponible en este momento. Sin él no hay respuesta: el mentor no inventa palabras.",
  unauthorized: "El servidor pide una clave de acceso.",
  invalid_request: "El servidor no entendió la pregunta. Prueba a escribirla de otra manera.",
  context_length_exceeded: "La conversación es demasiado larga. Empieza una nueva o acorta la pregunta.",
  model_loading: "El modelo todavía se está cargando. Vuelve a intentarlo en unos segundos.",
  overloaded: "Hay muchas preguntas en espera. Vuelve a intentarlo en unos segundos.",
  deadline_exceeded: "La respuesta tardó demasiado. Vuelve a intentarlo.",
  engine_restarted: "El modelo se reinició a media respuesta. Vuelve a intentarlo.",
  draining: "El servidor se está reiniciando. Vuelve a intentarlo en un momento.",
  generation_failed: "El modelo no pudo responder a esta pregunta.",
};

/** @param {{served_by?: string}} answer */
export function degradedText(answer) {
  return DEGRADED[answer.served_by] ?? "El sistema funciona con limitaciones en este momento.";
}

/** @param {import("./stream.js").AskError} error */
export function problemText(error) {
  if (PROBLEMS[error.type]) return PROBLEMS[error.type];
  if (error.status === 413) return "La pregunta es demasiado larga.";
  if (error.status === 503) return "No hay ninguna respuesta disponible en este momento. Vuelve a intentarlo más tarde.";
  return "Algo falló en el servidor. Vuelve a intentarlo.";
}

const SECONDS = new Intl.NumberFormat("es", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("es", { maximumFractionDigits: 0 });

/** @param {number} ms */
export function duration(ms) {
  return ms < 1000 ? `${WHOLE.format(ms)} ms` : `${SECONDS.format(ms / 1000)} s`;
}
