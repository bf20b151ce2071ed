using Fairlead.Providers.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Providers.Gemini;

/// <summary>The kind <c>gemini</c>: Google's Gemini API in its native form.</summary>
internal static class GeminiProviderKind
{
    public const string DefaultBaseUrl = "https://generativelanguage.googleapis.com";

    public const string KeyHeader = "x-goog-api-key";

    private const string ModelOwner = "google";

    private const string TelemetryName = "gcp.gemini";

    public static readonly ProviderKind Instance = new("gemini", Create)
    {
        DefaultBaseUrl = DefaultBaseUrl,
        TelemetryName = TelemetryName,
        CredentialHeader = KeyHeader,
        ModelOwner = ModelOwner,
        // batchEmbedContents refuses more: "at most 100 requests can be in one batch".
        MaxEmbeddingInputs = 100,
        Vendors =
        [
            new("generativelanguage.googleapis.com")
            {
                TelemetryName = TelemetryName,
                ModelOwner = ModelOwner,
                ProviderNames = ["google", "gemini"],
            },
        ],
        EnvironmentProviders =
        [
            new("gemini") { KeyVariables = ["GEMINI_API_KEY", "GOOGLE_API_KEY"], BaseUrl = DefaultBaseUrl + "/v1beta" },
        ],
    };

    private static GeminiProvider Create(string name, ProviderConfig config, IServiceProvider services) =>
        new(name, config, services.GetRequiredService<UpstreamClientFactory>().Create(name, config));
}
