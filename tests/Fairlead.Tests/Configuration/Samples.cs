namespace Fairlead.Tests.Configuration;

internal static class Samples
{
    public const string Whole = """
        $schema: http://127.0.0.1:8080/schemas/fairlead.schema.json
        fairlead:
          dataDirectory: /var/lib/fairlead
          drainTimeout: 45s
          providers:
            openai:
              kind: openai
              baseUrl: https://api.openai.com/v1
              apiKey: ${KEY_ONE}
              apiKeys: [ "${KEY_ONE}", other ]
              headers: { X-Team: team }
              reasoningField: reasoning
              timeouts: { connect: 3s, firstToken: 90s, streamIdle: 30s }
            azure: { kind: azure, baseUrl: "https://me.openai.azure.com", apiVersion: "2024-10-21" }
            simulated:
              simulation: { seed: 7, firstToken: 20ms, tokensPerSecond: 50.5, faults: status=429 }
          models:
            gpt-6-luna:
            fast:
              kind: chat
              contextWindow: 128_000
              maxInputTokens: 120000
              maxOutputTokens: 16384
              modalities: { input: [text, image], output: [text] }
              capabilities: { tools: true, jsonSchema: true, reasoning: false, logprobs: true, sampling: true, multipleChoices: false }
              tokenizer: o200k
              prices:
                input: 0.15
                cachedInput: 0.075
                cacheWrite: 0.2
                output: 0.6
                tiers: [ { aboveInputTokens: 272000, input: 0.3, cachedInput: 0.15, output: 0.9 } ]
              aliases: [ quick ]
              lifecycle: { state: deprecated, deprecatedAt: 2026-11-01, retiresAt: 2027-03-01, replacement: gpt-6-luna }
              limits: { requestsPerMinute: 600, output_tokens_per_minute: 100_000, elastic: true }
              task: code
              deployments:
                - { provider: openai, model: gpt-6-luna, priority: 1, weight: 2, maxConcurrency: 100, timeouts: { firstToken: 2s } }
                - { provider: azure, model: deployment-1, priority: 2 }
          redis: { connectionString: "redis://:${KEY_ONE}@redis.example.com/1" }
          limits:
            onStoreFailure: reject
            defaults:
              usdPerDay: 12.5
              burst: 0.5
              elastic: { min: 0.5, max: 3 }
              classes: { bulk: { concurrentGenerations: 2 }, realtime: }
          requests: { maxBodyBytes: 16MiB, maxDepth: 32, maxMessages: 500, maxMediaBytes: 8MiB }
          stream: { keepAlive: 10s, commitAfter: 5s }
          retry: { maxRetries: 4, baseDelay: 100ms, maxDelay: 2s }
          audit: { durability: fsync, retention: forever }
          telemetry: { otlpEndpoint: "http://collector:4317" }
        """;
}
