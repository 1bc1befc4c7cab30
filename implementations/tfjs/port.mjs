// Starts before TensorFlow.js is loaded, so that the host hears where it is not installed.

import { serve } from "../javascript/protocol.mjs";

await serve(() => import("./losses.mjs"));
