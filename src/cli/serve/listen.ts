/** The HTTP or HTTPS server on its port. Closing it lets running answers finish. */
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { randomUUID } from "node:crypto";
import { getRequestListener, RequestError } from "@hono/node-server";
import { AppError } from "../../errors.ts";
import type { App } from "../../http/app.ts";
import { invalid, toErrorBody } from "../../http/error-response.ts";
import type { Certificate } from "./certificate.ts";

/** Time for the last bytes of answers to be sent. */
const FLUSH_TIMEOUT_MS = 2000;
const IDLE_CHECK_MS = 20;
/**
 * Longer than a load balancer keeps an idle connection, so that the server never closes one that is about to be used.
 */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** TCP itself detects a client whose machine has vanished. */
const KEEP_ALIVE_PROBE_MS = 30_000;

export interface Listener {
  /** `http://HOST:PORT`, or `https://HOST:PORT` where there is a certificate. */
  readonly url: string;
  /** Later connections get this certificate. Only for a server that was started with one. */
  renew(certificate: Certificate): void;
  close(): Promise<void>;
}

export interface Address {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Null: plain HTTP. */
  readonly certificate: Certificate | null;
}

/** @throws {AppError} usage when the address cannot be used. */
export async function listen(app: App, { host, port, certificate }: Address): Promise<Listener> {
  // HTTP/1.0 needs no Host header, and HAProxy's plain check sends none. The URL needs some host name.
  const answer = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: refuse,
    hostname: "localhost",
  });
  const onRequest: RequestListener = (request, response) => {
    // HAProxy's documented check `OPTIONS *` asks about the whole server, as OPTIONS / does. `*` is not the path of a
    // URL.
    if (request.method === "OPTIONS" && request.url === "*") request.url = "/";
    void answer(request, response);
  };
  const server = certificate ? createTlsServer(certificate, onRequest) : createServer(onRequest);
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.on("connection", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const reason = error.code === "EADDRINUSE" ? "another program listens there" : error.message;
      reject(
        new AppError(
          "usage",
          `Cannot listen on ${host} port ${port}: ${reason}. Choose another --port (0: any free one) or --host.`,
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo; // it listens on a port, not on a pipe
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    url: `${certificate ? "https" : "http"}://${shownHost}:${address.port}`,
    renew: (next) => (server as TlsServer).setSecureContext(next),
    close: () => closeServer(server),
  };
}

/** Requests that never reach the application, because their request line and Host header do not form a URL. */
function refuse(error: unknown): Response {
  const isCallers = error instanceof RequestError;
  const body = toErrorBody(isCallers ? invalid("The request's path and Host header do not form a valid URL.") : error);
  const headers = { "content-type": "application/json", "x-request-id": randomUUID() };
  return new Response(JSON.stringify(body), { status: isCallers ? 400 : 500, headers });
}

async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // A connection whose answer ends after `close` would stay open and idle.
  const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const timer = setTimeout(() => server.closeAllConnections(), FLUSH_TIMEOUT_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}
