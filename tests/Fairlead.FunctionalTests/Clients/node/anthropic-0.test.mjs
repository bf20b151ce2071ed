import Anthropic from "anthropic-0";
import { anthropicTests } from "./anthropic-shared.mjs";

anthropicTests("@anthropic-ai/sdk 0.122", Anthropic);
