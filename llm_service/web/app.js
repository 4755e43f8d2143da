// The page: what is loaded, and a playground for each thing it can do.

import { startAccess } from "./access.js";
import { startChat } from "./chat.js";
import { startEmbeddings } from "./embeddings.js";
import { startRerank } from "./rerank.js";
import { look } from "./status.js";

startAccess(() => void look());
startChat();
startEmbeddings();
startRerank();
void look();
