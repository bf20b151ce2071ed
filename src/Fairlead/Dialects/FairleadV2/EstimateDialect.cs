using System.Buffers;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Catalogue;
using Fairlead.Configuration;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Validation;

namespace Fairlead.Dialects.FairleadV2;

/// <summary>
/// <c>POST /v2/estimates</c>: a request of <c>/v2/generations</c> that is validated, counted and priced, but not executed. Its delivery
/// fields have no effect.
/// </summary>
internal sealed class EstimateDialect : IRequestReader, IConversationDialect, IResponseWriter
{
    private EstimateDialect()
    {
    }

    public static Dialect Create()
    {
        var parts = new EstimateDialect();
        return new Dialect
        {
            Name = "fairlead.estimates",
            Path = "/v2/estimates",
            Operation = Operation.CountTokens,
            ErrorShape = ErrorShape.Problem,
            Scope = Scopes.Chat,
            InputField = "input",
            RouteField = "route",
            ClassField = "class",
            Requests = parts,
            Conversations = parts,
            Responses = parts,
        };
    }

    public GatewayError? Read(GatewayCall call, RequestBounds bounds)
    {
        if (V2RequestReader.Read(call, bounds) is { } error) return error;
        call.Facts.Stream = false;
        call.Facts.Extension = call.Facts.Extension with { Webhook = null, OnDisconnect = OnDisconnect.Cancel, BudgetUsd = null };
        return null;
    }

    public GatewayError WithClientParameter(GatewayCall call, GatewayError error) => V2ParameterNames.Of(call, error);

    public ConversationRequest ToConversation(GatewayCall call) => call.Facts.V2!.Conversation;

    public void Write(GatewayCall call, GatewayReply reply, IBufferWriter<byte> output)
    {
        if (reply is not GatewayReply.Counted counted)
        {
            throw new InvalidOperationException($"An estimate has no body for {reply.GetType().Name}.");
        }
        var model = call.Model;
        var max = MaxOutput(call, counted.InputTokens);
        using var json = new Utf8JsonWriter(output, ErrorBodyWriter.WriterOptions);
        json.WriteStartObject();
        json.WriteString("object", "estimate");
        json.WriteString("model_requested", call.Facts.Model);
        json.WriteString("model", model.Id);
        json.WriteNumber("input_tokens", counted.InputTokens);
        json.WriteString("basis", counted.Basis.ToWire());
        json.WriteNumber("max_output_tokens", max);
        Write(json, "context_window", model.ContextWindow);
        json.WriteBoolean("fits", WindowRule.Check(new TokenEstimate(counted.InputTokens, counted.Basis), call.Facts, model) is null);
        // An upper limit for every deployment and any length of the output.
        json.WriteStartObject("cost");
        json.WriteNumber("min_usd", model.Deployments.Min(deployment => MinOf(deployment)));
        json.WriteNumber("max_usd", model.Deployments.Max(deployment => MaxOf(deployment)));
        json.WriteEndObject();
        json.WriteStartArray("deployments");
        foreach (var deployment in model.Deployments)
        {
            json.WriteStartObject();
            json.WriteString("deployment", deployment.Name);
            json.WriteString("provider", deployment.ProviderName);
            json.WriteNumber("priority", deployment.Priority);
            json.WriteStartObject("cost_usd");
            json.WriteNumber("input", MinOf(deployment));
            json.WriteNumber("max", MaxOf(deployment));
            json.WriteEndObject();
            json.WriteString("prices_as_of", deployment.Prices.At(call.StartedAt).AsOf?.ToString("yyyy-MM-dd",
                System.Globalization.CultureInfo.InvariantCulture));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();

        decimal MinOf(Deployment deployment) => deployment.Prices.At(call.StartedAt).CostOf(new Usage(counted.InputTokens, 0)).Usd;

        // The request cannot name a service tier, so the provider chooses it.
        decimal MaxOf(Deployment deployment)
        {
            var prices = deployment.Prices.At(call.StartedAt);
            return prices.CostOf(new Usage(counted.InputTokens, max)).Usd * prices.ServiceTiers.Dearest(requested: null);
        }
    }

    // What fits into the window, if neither the request nor the model has a lower limit.
    private static long MaxOutput(GatewayCall call, long input)
    {
        long max = call.Facts.MaxOutputTokens ?? call.Model.MaxOutputTokens ?? WorstCase.UnboundedOutputTokens;
        return call.Model.ContextWindow is { } window ? Math.Clamp(window - input, 0, max) : max;
    }

    private static void Write(Utf8JsonWriter json, string name, int? value)
    {
        if (value is { } number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }
}
