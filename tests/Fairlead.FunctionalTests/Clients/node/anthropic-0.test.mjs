import Anthropic from "anthropic-0";
import { anthropicTests } from "./anthropic-shared.mjs";

anthropicTests(Anthropic);
