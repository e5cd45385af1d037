/** Which files of a checkpoint are its text: configuration, tokenizer and chat template. They travel with a base as they are. */

const TEXT_FILES =
  /^(config\.json|generation_config\.json|tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\..*)$/;

export function isCheckpointText(fileName: string): boolean {
  return TEXT_FILES.test(fileName);
}
