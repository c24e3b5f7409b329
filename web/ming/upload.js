/** Puts a picture into the server's input folder, where Load Image finds it. */
import { api } from "../../../scripts/api.js";

/** The name Load Image knows it by; throws what the server has against it. */
export async function uploadPicture(file) {
  const body = new FormData();
  body.append("image", file, file.name || "pasted.png");
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  const { name, subfolder } = await answer.json();
  return subfolder ? `${subfolder}/${name}` : name;
}
