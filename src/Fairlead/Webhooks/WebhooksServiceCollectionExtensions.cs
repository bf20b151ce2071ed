using Fairlead.Access;
using Fairlead.Http;
using Fairlead.Security;
using Fairlead.Storage;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;

namespace Fairlead.Webhooks;

internal static class WebhooksServiceCollectionExtensions
{
    private const string Root = "/v2/webhooks";

    /// <summary>Webhooks: the outbox for other slices, the worker that sends, and the endpoints.</summary>
    internal static IServiceCollection AddWebhooks(this IServiceCollection services)
    {
        services.AddSingleton<ISchemaStep, WebhookSchema>();
        services.AddSingleton<ISchemaStep, WebhookQueueSchema>();
        services.TryAddSingleton<IHostResolver, SystemHostResolver>();
        services.AddSingleton<WebhookRules>();
        services.AddSingleton<WebhookStore>();
        services.AddSingleton<WebhookDeliveryStore>();
        services.AddSingleton<WebhookOutbox>();
        services.AddSingleton<IWebhookOutbox>(provider => provider.GetRequiredService<WebhookOutbox>());
        services.AddSingleton<WebhookSender>();
        services.AddSingleton<IHostedService, WebhookWorker>();
        services.AddSingleton<WebhookEndpoints>();
        services.AddSingleton<WebhookDeliveryEndpoints>();
        return services;
    }

    /// <summary>Webhooks and their deliveries; all of it requires the scope <c>webhooks</c>.</summary>
    internal static void MapWebhooks(this IEndpointRouteBuilder endpoints)
    {
        var door = endpoints.ServiceProvider.GetRequiredService<AdminDoor>();
        var webhooks = endpoints.ServiceProvider.GetRequiredService<WebhookEndpoints>();
        Map("GET", "", webhooks.ListAsync);
        Map("POST", "", webhooks.CreateAsync);
        Map("GET", "/per-request", webhooks.OfRequestsAsync);
        Map("GET", "/{id}", webhooks.GetAsync);
        Map("PATCH", "/{id}", webhooks.ChangeAsync);
        Map("DELETE", "/{id}", webhooks.DeleteAsync);
        Map("POST", "/{id}/rotate", webhooks.RotateAsync);
        Map("POST", "/{id}/test", webhooks.TestAsync);

        var deliveries = endpoints.ServiceProvider.GetRequiredService<WebhookDeliveryEndpoints>();
        Map("GET", "/deliveries", deliveries.ListAsync);
        Map("GET", "/deliveries/{id}", deliveries.GetAsync);
        Map("POST", "/deliveries/{id}/redeliver", deliveries.RedeliverAsync);

        void Map(string method, string path, AdminHandler handler)
        {
            RequestDelegate serve = context => door.EnterAsync(context, Scopes.Webhooks, handler);
            if (method == "GET") endpoints.MapRead(Root + path, serve);
            else endpoints.MapMethods(Root + path, [method], serve);
        }
    }
}
