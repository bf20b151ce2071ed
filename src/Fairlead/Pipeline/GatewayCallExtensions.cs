using Microsoft.Extensions.AI;

namespace Fairlead.Pipeline;

/// <summary>How a builder's own model finds the call it works for.</summary>
public static class GatewayCallExtensions
{
    internal const string PropertyName = "fairlead.call";

    /// <summary>The call that made these options, or null when they come from elsewhere.</summary>
    public static GatewayCall? GetGatewayCall(this ChatOptions? options) =>
        options?.AdditionalProperties?.TryGetValue(PropertyName, out var value) == true ? value as GatewayCall : null;

    /// <summary>The call that made these options, or null when they come from elsewhere.</summary>
    public static GatewayCall? GetGatewayCall(this EmbeddingGenerationOptions? options) =>
        options?.AdditionalProperties?.TryGetValue(PropertyName, out var value) == true ? value as GatewayCall : null;
}
