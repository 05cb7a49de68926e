"use strict";

// Everything shown is set as text, never as markup, so nothing that a caller sends can run here.

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

let description = {};

const resolve = (schema) =>
  schema && schema.$ref ? schema.$ref.slice(2).split("/").reduce((node, name) => node[name], description) : schema || {};

const typeName = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.type === "array") return `list of ${typeName(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `map to ${typeName(schema.additionalProperties)}`;
  return schema.format || schema.type || "any";
};

const example = (schema) => {
  const found = resolve(schema);
  if (found.examples) return found.examples[0];
  if (found.properties) {
    return Object.fromEntries(Object.entries(found.properties).map(([name, part]) => [name, example(part)]));
  }
  return found.default ?? "";
};

const schemaTable = (schema) => {
  const found = resolve(schema);
  if (!found.properties) return make("p", { textContent: typeName(schema) });
  const rows = Object.entries(found.properties).map(([name, part]) =>
    make("tr", {}, make("td", {}, make("code", { textContent: name })), make("td", { textContent: typeName(part) }),
      make("td", { textContent: part.description || "" })));
  return make("div", {}, make("p", { className: "hint", textContent: found.description || "" }), make("table", {}, ...rows));
};

const call = async (method, path, operation, inputs, body, output) => {
  const query = new URLSearchParams();
  let url = path;
  for (const { parameter, input } of inputs) {
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(parameter.name, input.value);
  }
  if ([...query].length) url += `?${query}`;
  const headers = {};
  const token = document.getElementById("token").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  output.textContent = "…";
  try {
    const response = await fetch(url, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
    const kind = response.headers.get("Content-Type") || "";
    let text = "";
    if (kind.includes("json")) text = JSON.stringify(await response.json(), null, 2);
    else if (kind.startsWith("text/")) text = await response.text();
    else text = `${(await response.blob()).size} octets of ${kind || "nothing"}`;
    output.textContent = `${response.status} ${response.statusText}\n\n${text}`;
  } catch (error) {
    output.textContent = String(error);
  }
};

const show = (method, path, operation) => {
  const inputs = (operation.parameters || []).map((parameter) => ({
    parameter,
    input: make("input", { placeholder: typeName(parameter.schema), ariaLabel: parameter.name }),
  }));
  const rows = inputs.map(({ parameter, input }) =>
    make("tr", {}, make("td", {}, make("code", { textContent: parameter.name })), make("td", {}, input)));
  const wanted = operation.requestBody?.content?.["application/json"]?.schema;
  const body = wanted ? make("textarea", { rows: 4, value: JSON.stringify(example(wanted), null, 2) }) : null;
  const answer = Object.entries(operation.responses).find(([status]) => status.startsWith("2")) || ["", {}];
  const schema = answer[1].content?.["application/json"]?.schema;
  const output = make("pre", { hidden: true });
  const button = make("button", { textContent: "Try it", type: "button" });
  button.addEventListener("click", () => {
    output.hidden = false;
    call(method, path, operation, inputs, body, output);
  });
  const parts = [make("p", { textContent: operation.description || operation.summary || "" })];
  if (rows.length) parts.push(make("table", {}, ...rows));
  if (body) parts.push(schemaTable(wanted), body);
  parts.push(make("p", {}, button), output);
  if (schema) parts.push(make("h4", { textContent: `Answers ${answer[0]}: ${typeName(schema)}` }), schemaTable(schema));
  return make("details", {},
    make("summary", {}, make("span", { className: "method", textContent: method.toUpperCase() }),
      make("code", { textContent: path })),
    make("div", { className: "body" }, ...parts));
};

const start = async () => {
  const main = document.getElementById("operations");
  description = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = description.info.version;
  document.getElementById("summary").textContent = description.info.summary || "";
  const groups = new Map();
  for (const [path, methods] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(show(method, path, operation));
    }
  }
  main.replaceChildren();
  for (const [tag, shown] of groups) main.append(make("h2", { textContent: tag }), ...shown);
};

start().catch((error) => {
  document.getElementById("operations").textContent = `The description could not be loaded: ${error}`;
});
