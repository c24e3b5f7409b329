/** Puts a picture into the server's input folder, where Load Image finds it. */
import { api } from "../../../scripts/api.js";

/** The name Load Image knows it by; throws what is wrong with it, before it is a node that fails. */
export async function uploadPicture(file) {
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) throw new Error(file.name);
  picture.close();
  const body = new FormData();
  body.append("image", file, file.name || "pasted.png");
  const answer = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  const { name, subfolder } = await answer.json();
  return subfolder ? `${subfolder}/${name}` : name;
}
