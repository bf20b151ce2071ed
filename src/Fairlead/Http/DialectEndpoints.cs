using Fairlead.Delivery;
using Fairlead.Dialects;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.Http;

/// <summary>The addresses of the generating endpoints.</summary>
internal static class DialectEndpoints
{
    public static void MapDialects(this IEndpointRouteBuilder endpoints)
    {
        Map<OpenAiChatDialect>(endpoints, "/v1/chat/completions");
        Map<OpenAiCompletionsDialect>(endpoints, "/v1/completions");
        Map<OpenAiEmbeddingsDialect>(endpoints, "/v1/embeddings");
        Map<ResponsesDialect>(endpoints, "/v1/responses");
        Map<InputTokensDialect>(endpoints, "/v1/responses/input_tokens");
        Map<CompactDialect>(endpoints, "/v1/responses/compact");
        Map<FairleadDialect>(endpoints, "/v2/generations");
        Map<EstimateDialect>(endpoints, "/v2/estimates");
        Map<MessagesDialect>(endpoints, "/v1/messages");
        Map<CountTokensDialect>(endpoints, "/v1/messages/count_tokens");
    }

    private static void Map<TDialect>(IEndpointRouteBuilder endpoints, string path)
        where TDialect : Dialect
    {
        var dialect = endpoints.ServiceProvider.GetRequiredService<TDialect>();
        endpoints.ServiceProvider.GetRequiredService<DialectRegistry>().Add(dialect);
        var endpoint = endpoints.ServiceProvider.GetRequiredService<GatewayEndpoint>();
        RequestDelegate serve = context => endpoint.HandleAsync(context, dialect);
        endpoints.MapPost(path, serve).WithDisplayName($"{dialect.Name} at {path}");
    }
}
