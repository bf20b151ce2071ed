import Anthropic from "@anthropic-ai/sdk";
import { anthropicTests } from "./anthropic-shared.mjs";

anthropicTests("@anthropic-ai/sdk 1.x", Anthropic);
