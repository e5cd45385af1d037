/** A network namespace with one cable to the machine, which can be cut. Needs root and `ip` (Debian: iproute2). */
import { spawnSync } from "node:child_process";

export class NetworkNamespace implements Disposable {
  readonly name: string;
  /** The address inside. */
  readonly host: string;
  readonly #outside: string;

  /**
   * @param name at most 11 characters: an interface's name has 15.
   * @returns null where the machine does not allow it
   */
  static create(name: string): NetworkNamespace | null {
    if (process.getuid?.() !== 0 || !run("ip", "netns", "list")) return null;
    const namespace = new NetworkNamespace(name);
    process.on("exit", () => namespace[Symbol.dispose]()); // also after Ctrl-C
    if (namespace.#connect()) return namespace;
    namespace[Symbol.dispose]();
    return null;
  }

  private constructor(name: string) {
    this.name = name;
    this.host = "10.231.7.2";
    this.#outside = `${name}-out`;
  }

  #connect(): boolean {
    const [name, outside] = [this.name, this.#outside];
    const inside = ["ip", "-n", name];
    return (
      run("ip", "netns", "add", name) &&
      run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name) &&
      run("ip", "addr", "add", "10.231.7.1/30", "dev", outside) &&
      run("ip", "link", "set", outside, "up") &&
      run(...inside, "addr", "add", `${this.host}/30`, "dev", "eth0") &&
      run(...inside, "link", "set", "eth0", "up") &&
      run(...inside, "link", "set", "lo", "up")
    );
  }

  /** Packets get lost without a word from now on. */
  cut(): void {
    run("ip", "-n", this.name, "link", "set", "eth0", "down");
  }

  mend(): void {
    run("ip", "-n", this.name, "link", "set", "eth0", "up");
  }

  [Symbol.dispose](): void {
    run("ip", "netns", "del", this.name);
  }
}

function run(...command: readonly string[]): boolean {
  const [program = "", ...args] = command;
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}
