/** The server's port: plain HTTP, or TLS with a certificate that is followed while the server runs. */
import type { ConfigOf } from "../../config/commands.ts";
import { createApp } from "../../http/app.ts";
import type { AppContext } from "../../http/context.ts";
import { type Certificate, type CertificateFiles, certificateFiles, readCertificate } from "./certificate.ts";
import type { Cleanup } from "../shared/cleanup.ts";
import { type Listener, listen } from "./listen.ts";
import { watchFiles } from "./watch-files.ts";

/** The certificate, and the files that it was read from. */
export interface Tls {
  readonly files: CertificateFiles;
  readonly certificate: Certificate;
}

/** Null: plain HTTP. @throws {AppError} usage: the certificate cannot be used. */
export async function readTls(config: Parameters<typeof certificateFiles>[0]): Promise<Tls | null> {
  const files = certificateFiles(config);
  return files && { files, certificate: await readCertificate(files) };
}

/** @throws {AppError} usage: the address cannot be used. */
export async function openListener(
  { host, port }: Pick<ConfigOf<"serve">, "host" | "port">,
  tls: Tls | null,
  context: AppContext,
  cleanup: Cleanup,
): Promise<Listener> {
  const listener = await listen(createApp(context), { host, port, certificate: tls?.certificate ?? null });
  cleanup.defer(() => listener.close());
  if (tls === null) return listener;
  const { files } = tls;
  const stop = watchFiles([files.tlsCert, files.tlsKey], () => readCertificate(files), {
    onRead: (next) => {
      listener.renew(next);
      context.log.info("the certificate was read again");
    },
    onFault: (error) =>
      context.log.error(
        { reason: (error as Error).message },
        "the certificate was not read again, and the earlier one stays",
      ),
  });
  cleanup.defer(stop);
  return listener;
}
