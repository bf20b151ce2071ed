import Anthropic from "@anthropic-ai/sdk";
import { anthropicTests } from "./anthropic-shared.mjs";

anthropicTests(Anthropic);
