using Fairlead.Access;
using Fairlead.Auditing.Ledger;
using Fairlead.Auditing;
using Fairlead.Batches;
using Fairlead.Caching;
using Fairlead.Catalogue;
using Fairlead.Coalescing;
using Fairlead.Configuration;
using Fairlead.Delivery;
using Fairlead.Dialects.AnthropicMessages;
using Fairlead.Dialects.FairleadV2;
using Fairlead.Dialects.OpenAiChat;
using Fairlead.Dialects.OpenAiCompletions;
using Fairlead.Dialects.OpenAiEmbeddings;
using Fairlead.Dialects.OpenAiResponses;
using Fairlead.Documentation;
using Fairlead.Erasure;
using Fairlead.Files;
using Fairlead.Generations;
using Fairlead.Http;
using Fairlead.Idempotency;
using Fairlead.Identity;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Policies;
using Fairlead.Policies.Moderation;
using Fairlead.Providers;
using Fairlead.Responses;
using Fairlead.Rescue;
using Fairlead.Routing;
using Fairlead.Scheduling;
using Fairlead.Storage;
using Fairlead.StructuredOutput;
using Fairlead.Telemetry;
using Fairlead.TokenCounting;
using Fairlead.Validation;
using Fairlead.Webhooks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead;

/// <summary>Puts Fairlead into an ASP.NET Core app.</summary>
public static class FairleadApplicationBuilderExtensions
{
    /// <summary>
    /// Adds the gateway: everything behind <see cref="MapFairlead"/>. Configuration comes from <c>fairlead.yaml</c>, the
    /// environment, and the calls on the returned builder.
    /// </summary>
    /// <param name="builder">The app's builder.</param>
    /// <param name="input">
    /// Where the configuration comes from; null for the process's working directory and environment, with the app's own section
    /// <c>Fairlead</c> over it.
    /// </param>
    /// <returns>A builder for the models that the app itself brings.</returns>
    public static FairleadBuilder AddFairlead(this IHostApplicationBuilder builder, ConfigurationInput? input = null)
    {
        ArgumentNullException.ThrowIfNull(builder);
        var services = builder.Services;
        services.TryAddSingleton(TimeProvider.System);
        services.AddRouting();
        services.AddLimitedLogging();

        // In the order of a call's way.
        services.TryAddSingleton(provider => ConfigurationSections.Of(provider.GetRequiredService<ProviderKinds>()));
        services.AddGatewayConfiguration(input ?? ConfigurationInput.FromProcess() with { Settings = builder.Configuration });
        services.AddStorage();
        services.AddCallers();
        services.AddEndpoints();
        services.AddOpenAiChat().AddOpenAiCompletions().AddOpenAiEmbeddings().AddOpenAiResponses().AddAnthropicMessages().AddFairleadV2();
        services.AddIdempotency();
        services.AddCatalogue();
        services.AddTokenCounting();
        services.AddRequestValidation();
        services.AddLimits();
        services.AddStructuredOutput();
        services.AddRequestIdentity();
        services.AddContentPolicies();
        services.AddCaching();
        services.AddCoalescing();
        services.AddStreamRescue();
        services.AddScheduling();
        services.AddDeploymentRouting();
        services.AddProviders();
        services.AddPipeline();
        services.AddDelivery();
        services.AddAuditing();
        services.AddLedger();
        services.AddJobs();
        services.AddStoredResponses();
        services.AddWebhooks();
        services.AddFiles();
        services.AddBatches();
        services.AddErasure();
        services.AddAdmin();
        services.AddTelemetry().AddHealth();
        services.AddDocumentation();
        return new FairleadBuilder(services);
    }

    /// <summary>
    /// Maps the gateway's endpoints: <c>/v1</c>, <c>/v2</c>, <c>/admin/v1</c>, <c>/livez</c>, <c>/readyz</c>, and, where the app
    /// has nothing else there, <c>/docs/errors</c>, to which errors link. Takes the data folder for this process; waits a limited
    /// time for another process that still has it.
    /// </summary>
    /// <param name="endpoints">The app's endpoints.</param>
    /// <param name="configure">Switches on what is off by default; null for nothing.</param>
    /// <exception cref="Exception">Another process keeps the data folder; the message names it.</exception>
    public static IEndpointRouteBuilder MapFairlead(this IEndpointRouteBuilder endpoints, Action<FairleadEndpointOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        // First of all: what is mapped opens files in the data folder.
        endpoints.ServiceProvider.GetRequiredService<DataFolderLock>().Hold();
        if (endpoints is IApplicationBuilder app)
        {
            endpoints.ServiceProvider.GetRequiredService<CrossOriginRequests>().UseUnderPathBase(app);
            endpoints.ServiceProvider.GetRequiredService<ErrorEdgeMiddleware>().UseUnderPathBase(app);
        }
        var options = new FairleadEndpointOptions();
        configure?.Invoke(options);
        if (options.Docs) endpoints.MapGuides();
        if (options.OpenApi) endpoints.MapOpenApi();
        endpoints.MapDialects();
        endpoints.MapStoredResponses();
        ModelsEndpoints.Map(endpoints);
        ModerationEndpoints.Map(endpoints);
        endpoints.MapGenerations();
        endpoints.MapFiles();
        endpoints.MapBatches();
        endpoints.MapLedger();
        endpoints.MapLimits();
        endpoints.MapWebhooks();
        endpoints.MapAdmin();
        endpoints.MapHealth();
        ErrorListEndpoint.Map(endpoints);
        UnknownAddressEndpoint.Map(endpoints);
        return endpoints;
    }
}
