using System.ClientModel.Primitives;
using Fairlead.FunctionalTests.Common;
using OpenAI;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>How OpenAI's .NET client is pointed at a gateway.</summary>
internal static class OpenAiOptions
{
    /// <param name="simulate">Directives for the simulated provider, or null.</param>
    /// <returns>Options without retries: a test of an error sees the first one.</returns>
    public static OpenAIClientOptions For(TestGateway gateway, string? simulate = null)
    {
        var options = new OpenAIClientOptions { Endpoint = new Uri(gateway.Url + "/v1"), RetryPolicy = new ClientRetryPolicy(0) };
        if (simulate is not null) options.AddPolicy(new Header("Fairlead-Simulate", simulate), PipelinePosition.PerCall);
        return options;
    }

    private sealed class Header(string name, string value) : PipelinePolicy
    {
        public override void Process(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set(name, value);
            ProcessNext(message, pipeline, currentIndex);
        }

        public override ValueTask ProcessAsync(PipelineMessage message, IReadOnlyList<PipelinePolicy> pipeline, int currentIndex)
        {
            message.Request.Headers.Set(name, value);
            return ProcessNextAsync(message, pipeline, currentIndex);
        }
    }
}
