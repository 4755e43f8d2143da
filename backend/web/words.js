// Every sentence the page says on its own account about answers and faults, in one place.

export const SERVED_BY = { llm_service: "servicio", local: "modelo local", none: "solo diccionario" };

export const ANSWER_MODE = {
  generated: "redactada por el modelo",
  completed: "completada con el diccionario",
  extractive: "tomada del diccionario",
};

export const KIND = { dictionary: "diccionario", phrase: "frase", text: "texto" };

/** Why a source was found, by the first reason of its `matched_on`. */
export const REASON = {
  lemma: "por la palabra",
  variant: "por una variante",
  gloss: "por el significado",
  subentry: "por una subentrada",
  example: "por un ejemplo",
  words: "por sus palabras",
  typo: "por su parecido",
  vector: "por el sentido",
};

const DEGRADED = {
  llm_service: "El servicio responde con un modelo de reserva, más pequeño. Fíate sobre todo de las fuentes.",
  local: "El servicio de lenguaje no está disponible: responde el modelo local, más lento.",
  none: "No hay ningún modelo de lenguaje disponible: las respuestas son entradas del diccionario, tal cual.",
};

export const RECOVERED = {
  model: "El servicio de lenguaje vuelve a estar disponible.",
  server: "El servidor vuelve a responder.",
};

const LATER = "Vuelve a intentarlo dentro de un momento.";
/** What happened, and what to do next. */
const PROBLEMS = {
  unreachable: ["No se puede contactar con el servidor.", "Comprueba que está en marcha y vuelve a intentarlo."],
  interrupted: ["La conexión se cortó antes de terminar la respuesta.", "Vuelve a intentarlo."],
  page: ["La página no supo mostrar la respuesta.", "Vuelve a cargarla e inténtalo otra vez."],
  retrieval_unavailable: [
    "El diccionario no está disponible: la base de datos no responde, y sin ella el mentor no inventa palabras.",
    LATER,
  ],
  llm_unavailable: ["No se encontró nada por palabras, y ningún modelo puede buscar por el sentido.", LATER],
  unauthorized: ["El servidor no aceptó la clave de acceso.", "Pulsa «Reintentar» y escríbela de nuevo."],
  invalid_request: ["El servidor no entendió la pregunta.", "Prueba a escribirla de otra manera."],
  request_too_large: ["La pregunta es demasiado larga.", "Acórtala y vuelve a intentarlo."],
  context_length_exceeded: ["La conversación es demasiado larga.", "Empieza una nueva o acorta la pregunta."],
  llm_service_refused: [
    "El servicio de lenguaje rechazó la pregunta del servidor.",
    "Avisa a quien lo administra: puede que falte una clave.",
  ],
  model_loading: ["El modelo todavía se está cargando.", LATER],
  overloaded: ["Hay muchas preguntas en espera.", LATER],
  rate_limited: ["Has hecho muchas preguntas en poco tiempo.", LATER],
  deadline_exceeded: ["La respuesta tardó demasiado.", "Vuelve a intentarlo."],
  engine_restarted: ["El modelo se reinició a media respuesta.", "Vuelve a intentarlo."],
  draining: ["El servidor se está reiniciando.", LATER],
  generation_failed: ["El modelo no pudo responder a esta pregunta.", "Prueba a escribirla de otra manera."],
};
const BY_STATUS = { 401: "unauthorized", 413: "request_too_large", 429: "rate_limited" };

const OUTAGES = {
  unreachable: "No se puede contactar con el servidor. Este aviso desaparece en cuanto responda.",
  interrupted: "Se perdió la conexión con el servidor. Este aviso desaparece en cuanto responda.",
  retrieval_unavailable: "La base de datos no responde. Este aviso desaparece en cuanto vuelva.",
};

/** @param {{served_by?: string}} answer */
export function degradedText(answer) {
  return DEGRADED[answer.served_by] ?? "El sistema funciona con limitaciones en este momento.";
}

/** @param {import("./stream.js").AskError} error */
export function outageText(error) {
  return OUTAGES[error.type];
}

/** @param {import("./stream.js").AskError} error */
export function problemText(error) {
  const fallback =
    error.status === 503 ? ["No hay respuesta disponible ahora.", LATER] : ["Algo falló en el servidor.", LATER];
  const [what, next] = PROBLEMS[error.type] ?? PROBLEMS[BY_STATUS[error.status]] ?? fallback;
  return `${what} ${error.retryAfter > 0 ? `Vuelve a intentarlo dentro de ${waiting(error.retryAfter)}.` : next}`;
}

const SECONDS = new Intl.NumberFormat("es", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("es", { maximumFractionDigits: 0 });

/** @param {number} ms */
export function duration(ms) {
  return ms < 1000 ? `${WHOLE.format(ms)} ms` : `${SECONDS.format(ms / 1000)} s`;
}

function waiting(seconds) {
  if (seconds < 120) return seconds === 1 ? "1 segundo" : `${WHOLE.format(seconds)} segundos`;
  return `${WHOLE.format(Math.ceil(seconds / 60))} minutos`;
}
