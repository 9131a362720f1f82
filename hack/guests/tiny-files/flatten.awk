# Flattens the YAML of a NoCloud seed into lines "path<TAB>scalar", list items
# by number: "ethernets/lab/routes/0/via<TAB>10.77.0.1". Knows block and flow
# collections (and so JSON) and quoted scalars; block scalars (| and >) are
# skipped. Enough for seeds, not a YAML parser.

function path(   i, p) {
  for (i = 1; i <= depth; i++) p = p (i > 1 ? "/" : "") name[i]
  return p
}

function push(n, ind, kind) { depth++; name[depth] = n; indent[depth] = ind; type[depth] = kind }

function unquote(s,   q) {
  q = substr(s, 1, 1)
  if (length(s) > 1 && (q == "\"" || q == "'") && substr(s, length(s)) == q) {
    s = substr(s, 2, length(s) - 2)
    if (q == "\"") { gsub(/\\"/, "\"", s); gsub(/\\\//, "/", s); gsub(/\\\\/, "\\", s) } else gsub(/''/, "'", s)
  }
  return s
}

function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t\r]+$/, "", s); return s }

# Position of the first unquoted character of the set, 0 without one.
function unquoted(s, set,   i, c, q) {
  for (i = 1; i <= length(s); i++) {
    c = substr(s, i, 1)
    if (q != "") { if (c == "\\" && q == "\"") i++; else if (c == q) q = ""; continue }
    if ((c == "\"" || c == "'") && (i == 1 || substr(s, i - 1, 1) ~ /[ \t,:[{]/)) q = c
    else if (index(set, c)) return i
  }
  return 0
}

function uncomment(s,   i, rest, at) {
  at = 0
  while ((i = unquoted(rest = substr(s, at + 1), "#")) > 0) {
    at += i
    if (at == 1 || substr(s, at - 1, 1) ~ /[ \t]/) return substr(s, 1, at - 1)
  }
  return s
}

function balance(s,   i, n, rest) {
  rest = s
  while ((i = unquoted(rest, "[]{}")) > 0) {
    n += index("[{", substr(rest, i, 1)) ? 1 : -1
    # A blank keeps a quote that follows a bracket recognisable.
    rest = " " substr(rest, i + 1)
  }
  return n
}

function emit(p, s) { sub(/^\//, "", p); if (s != "" && s != "null" && s != "~") print p "\t" unquote(s) }

# Parses the flow value at the head of `flowing` and eats it.
function flow(p,   i, n, key, c) {
  flowing = trim(flowing)
  c = substr(flowing, 1, 1)
  if (c == "[" || c == "{") {
    flowing = trim(substr(flowing, 2))
    n = 0
    while (flowing != "" && index("]}", substr(flowing, 1, 1)) == 0) {
      if (c == "{") {
        i = unquoted(flowing, ":")
        if (i == 0) { flowing = ""; return }
        key = unquote(trim(substr(flowing, 1, i - 1)))
        flowing = substr(flowing, i + 1)
      } else key = n++
      flow(p "/" key)
      flowing = trim(flowing)
      if (substr(flowing, 1, 1) == ",") flowing = trim(substr(flowing, 2))
    }
    flowing = substr(flowing, 2)
    return
  }
  i = unquoted(flowing, ",]}")
  if (i == 0) i = length(flowing) + 1
  emit(p, trim(substr(flowing, 1, i - 1)))
  flowing = substr(flowing, i)
}

function val(s) {
  if (s == "") return
  if (s ~ /^[\[{]/) { flowing = s; flow(path()) } else emit(path(), s)
}

function line(s,   ind, i) {
  match(s, /^ */)
  ind = RLENGTH
  s = trim(s)
  if (s ~ /^[\[{]/ && depth == 0) { flowing = s; flow(""); return }
  while (s ~ /^-( |$)/) {
    while (depth && (indent[depth] > ind || indent[depth] == ind && type[depth] == "item")) depth--
    push(count[path()]++, ind, "item")
    i = match(substr(s, 2), /[^ ]/)
    if (i == 0) return
    s = substr(s, 1 + i)
    ind += i
  }
  i = 0
  if (s ~ /^"[^"]*" *:( |$)/ || s ~ /^'[^']*' *:( |$)/ || s !~ /^["'\[{]/) {
    i = match(s, /:( |$)/)
  }
  if (i > 0) {
    while (depth && indent[depth] >= ind) depth--
    push(unquote(trim(substr(s, 1, i - 1))), ind, "key")
    s = trim(substr(s, i + 1))
    if (s ~ /^[|>]/) { skipping = 1; skip = ind; return }
  }
  val(s)
}

{ sub(/\r$/, "") }
/^[ \t]*(#|$)/ || /^---/ { next }
{
  if (skipping) { match($0, /^ */); if (RLENGTH > skip) next; skipping = 0 }
  text = (pending == "" ? "" : pending " ") uncomment(pending == "" ? $0 : trim($0))
  if (balance(text) > 0) { pending = text; next }
  pending = ""
  line(text)
}
