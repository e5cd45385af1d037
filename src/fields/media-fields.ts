/**
 * Names under which messages and their parts carry images, sounds, videos and files. None is dropped in silence. Data.
 */
import { empty, inOtherPart, refused, type Treatment } from "./field.ts";

const NAMES = [
  "attachments",
  "audio_url",
  "audios",
  "file",
  "file_data",
  "file_id",
  "file_url",
  "files",
  "image",
  "image_url",
  "images",
  "input_audio",
  "video",
  "video_url",
  "videos",
];
const ONLY_TEXT = "The server accepts only text.";

const of = (treatment: Treatment): Readonly<Record<string, Treatment>> =>
  Object.fromEntries(NAMES.map((name) => [name, treatment]));

/** In a message. */
export const MEDIA_OF_MESSAGES = of(refused(empty, ONLY_TEXT));
/** In a part of its content. */
export const MEDIA_OF_PARTS = of(refused(inOtherPart, ONLY_TEXT));
